"""The batching shell: one path for events, commands, deadlines and outcomes, in one transaction each."""

"""One office on one machine, to try and to test: servers, supervisor, mailbox, demonstration. Never shipped."""

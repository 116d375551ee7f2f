"""AsyncAPI documents made from the contracts folder: what each service and each partner sends and receives.

The topic files and schemas are the contract; these documents say the same in the form that other people's tools read.
"""

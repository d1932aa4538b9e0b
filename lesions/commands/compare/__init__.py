"""`lesions compare`: is the difference between two results more than chance?"""

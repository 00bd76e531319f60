"""What is spoken: the policy, and the generator of the tables.  Nothing here is installed."""

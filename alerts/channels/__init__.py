"""Small native senders: each turns a notice into its vendor's request and reads what the answer's body says."""

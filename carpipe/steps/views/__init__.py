"""What pages and commands show of a bucket."""

"""What removes things from a bucket: a listing that must be forgotten, results that nothing refers to."""

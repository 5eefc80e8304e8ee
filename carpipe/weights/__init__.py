"""Published weights: immutable models, and channels that say which one is live."""

"""Which car models become which classes: the rules, read strictly, checked against data, compared."""

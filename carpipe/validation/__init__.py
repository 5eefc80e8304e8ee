"""Great Expectations checks on the tables of a dataset, and the Data Docs that show them."""

# Of the checks and what is written about them; raise it when a verdict may change.
VERSION = 3

"""Great Expectations checks on the tables of a dataset, and the Data Docs that show them."""

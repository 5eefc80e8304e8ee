"""How good a model is, and whether it may go live: figures, tables, pictures, a page and the gate."""

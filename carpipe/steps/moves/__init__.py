"""What people say of models: which class they are in, over the taxonomy's file, kept append-only."""

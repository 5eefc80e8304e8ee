"""What people say, by name and with a date: files of it, read with care and kept append-only."""

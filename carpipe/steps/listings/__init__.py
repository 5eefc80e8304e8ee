"""What people say of listings: corrections of their class, kept append-only."""

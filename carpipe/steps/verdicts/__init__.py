"""What people make of advice that they do not follow: refused, or put off."""

"""From where photos show a car, as people say: view labels, kept append-only, and the set of photos made of them."""

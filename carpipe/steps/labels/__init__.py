"""Labels of the car filter: given by people, kept append-only, and made a set to train on."""

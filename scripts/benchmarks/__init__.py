"""The parts of `scripts/bench`. They measure and print; nothing here asserts a time."""

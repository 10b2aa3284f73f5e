"""Invented rooms, with and without fire: what the sensors would see, second by second."""

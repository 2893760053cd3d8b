"""The images, and tables of others' results."""

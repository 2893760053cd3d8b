"""Finished work as a page to send: what a search, an evaluation or a study found, in tables, charts and cells."""

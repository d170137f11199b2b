"""A process that keeps a model loaded between two searches of the command line.

The first search of a user, a store, a model and an environment starts it, once it has answered; later ones ask it over
a Unix socket that only the user can reach. It is `oneword serve` without an address, and ends itself. Whatever goes
wrong with it, the command searches by itself: it costs time, and never an answer.
"""

"""A job on many machines, with Ray.

The driver lists the inputs, leaves out what is unchanged, hands shares of the rest to workers, and commits what they
return. It is the only writer of the collection.

    driver: Shares ──> workers: read, decode, embed ──> driver: Writer
            (thread)   (an actor a GPU)                 (many shares a commit)

Workers and nodes may be lost at any time: Ray repeats what they did, and what Ray gives up the driver hands out again.
"""

"""A job on many machines, with Ray.

The driver reads the sources, leaves out what is unchanged, feeds a Ray Data pipeline of actors and commits what comes
back. It is the only writer of the collection.

    driver: Feeder ──> Feed ══> Loader ══> Embedder ══> FragmentWriter ══> driver: Committer
            (sources)  (queue)  (CPUs)     (GPUs)       (Lance files)      (one commit for many files)

Anything on the way may be lost at any time: Ray repeats it, and what Ray gives up the driver feeds again.
"""

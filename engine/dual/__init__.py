"""Dual encoders by transformers: CLIP, SigLIP, SigLIP 2, MetaCLIP 2; two towers, trained to agree."""

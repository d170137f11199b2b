"""How good a model is: E5-V's four task families, on data sets as they are published, by the reference's protocol.

`text_image` and `image_image` (Flickr30K, COCO), `cirr` and `fashioniq` (composed), `sts` (sentence similarity).
Each task reads a folder, embeds through one `Vectors` cache, and returns a `Report`. `oneword eval` is the command;
`oneword.engine.evaluation.mteb` lets MTEB and MIEB run our encoders.
"""

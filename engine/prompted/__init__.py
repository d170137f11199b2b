"""Any vision-language model by prompt: the hidden state that would say its input in one word (arXiv 2407.12580)."""

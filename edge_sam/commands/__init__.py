"""The commands of ``edgesam`` that use a model, one a module: options, and what is done with them."""

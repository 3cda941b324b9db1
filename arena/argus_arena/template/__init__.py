"""Complete packages of plugins, written from the files in this folder: `arena plugin new`."""

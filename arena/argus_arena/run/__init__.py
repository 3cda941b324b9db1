"""What a training run is made of: configuration, folder, data, batches and their order."""

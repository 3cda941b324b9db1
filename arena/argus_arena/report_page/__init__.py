"""Results as one HTML page that needs no network: ``collect`` its data, ``look`` at images, ``page`` it all."""

"""Small tools without opinions about vision: files, folders, options, licences, devices, progress."""

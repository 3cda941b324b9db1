"""Surface normals for Argus: a task, a head, and scenes with exact normals."""

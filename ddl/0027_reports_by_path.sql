-- Which report was recorded last for a path is asked whenever files in place are compared with it.
create index artifacts_by_path on bursar.artifacts (path, id);

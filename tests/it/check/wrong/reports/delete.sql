delete from bursar.loads

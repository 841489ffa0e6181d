select customer, total
  from load_measures_fin
 where run_date = :run_date;
delete from bursar.loads;

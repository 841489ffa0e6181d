-- A typo'd measure, one of another dataset, and a parameter that isn't.
select customer, totl, round(average, 2) as "Total"
  from bursar.load_measures_fine as f
 where run_date = :run_day
   and f.largst > 0

-- Takes, until the transaction ends, what a load must hold: the lock of its attempt ($1), that of its table ($2) if nobody
-- else has it, and then a number and the lock of that (behind the words $3); later locks are waited for as long as $4
-- says. Numbers are given under the table's lock, so that the greatest one was the last.
select backend,
       load_id,
       pg_advisory_xact_lock_shared(hashtextextended($3 || load_id, 0))
  from (select backend,
               case when has_table then nextval('bursar.loads_id_seq') end as load_id
          from (select pg_backend_pid() as backend,
                       set_config('lock_timeout', $4, true),
                       pg_advisory_xact_lock_shared(hashtextextended($1, 0)),
                       pg_try_advisory_xact_lock(hashtextextended($2, 0)) as has_table
                offset 0) as held
        offset 0) as numbered

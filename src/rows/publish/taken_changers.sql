-- The triggers and rules on the table $1 that may change what is put into it: on INSERT (4 of tgtype, 3 of ev_type) and
-- UPDATE (16, 2).
select 'trigger ' || t.tgname as changer
  from pg_trigger as t
 where t.tgrelid = $1::regclass and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & (4 | 16) > 0
 union all
select 'rule ' || w.rulename
  from pg_rewrite as w
 where w.ev_class = $1::regclass and w.ev_enabled <> 'D' and w.ev_type in ('2', '3')
 order by 1

-- Whether a table ($1) takes rows as they are copied, as no trigger changes them, and its texts are equal where their bytes
-- are.
select not exists (
           select
             from pg_trigger
            where tgrelid = to_regclass($1)
              and not tgisinternal)
   and not exists (
           select
             from pg_attribute as a
             join pg_collation as l on l.oid = a.attcollation
            where a.attrelid = to_regclass($1)
              and not l.collisdeterministic)

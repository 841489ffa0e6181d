-- Values that point to no row of the table they should, and aliases that point to several customers. $1: the run date.
with referring as (
    select 'billing_invoice' as table_name, 'customer_id' as column_name, 'billing_customer.id' as refers_to,
           i.customer_id::text as value, count(*) as row_count
      from billing_invoice as i
     where i.customer_id is not null and not exists (select from billing_customer as c where c.id = i.customer_id)
     group by i.customer_id
    union all
    select 'billing_invoice', 'plan_id', 'billing_plan.id', i.plan_id::text, count(*)
      from billing_invoice as i
     where i.plan_id is not null and not exists (select from billing_plan as p where p.id = i.plan_id)
     group by i.plan_id
    union all
    select 'billing_line_item', 'invoice_id', 'billing_invoice.id', l.invoice_id::text, count(*)
      from billing_line_item as l
     where l.invoice_id is not null and not exists (select from billing_invoice as i where i.id = l.invoice_id)
     group by l.invoice_id
    union all
    select 'billing_line_item', 'product_id', 'billing_product.id', l.product_id::text, count(*)
      from billing_line_item as l
     where l.product_id is not null and not exists (select from billing_product as p where p.id = l.product_id)
     group by l.product_id
    union all
    select 'billing_sub_line_item', 'line_item_id', 'billing_line_item.id', s.line_item_id::text, count(*)
      from billing_sub_line_item as s
     where s.line_item_id is not null and not exists (select from billing_line_item as l where l.id = s.line_item_id)
     group by s.line_item_id
    union all
    select 'billing_sub_line_item', 'charge_id', 'billing_plan_charge.charge_id', s.charge_id::text, count(*)
      from billing_sub_line_item as s
     where s.charge_id is not null
       and not exists (select from billing_plan_charge as p where p.charge_id = s.charge_id)
     group by s.charge_id
    union all
    select 'billing_sub_line_item', 'billable_metric_id', 'billing_billable_metric.id', s.billable_metric_id::text, count(*)
      from billing_sub_line_item as s
     where s.billable_metric_id is not null
       and not exists (select from billing_billable_metric as m where m.id = s.billable_metric_id)
     group by s.billable_metric_id
    union all
    select 'billing_plan_charge', 'plan_id', 'billing_plan.id', c.plan_id::text, count(*)
      from billing_plan_charge as c
     where c.plan_id is not null and not exists (select from billing_plan as p where p.id = c.plan_id)
     group by c.plan_id
    union all
    select 'billing_plan_charge', 'product_id', 'billing_product.id', c.product_id::text, count(*)
      from billing_plan_charge as c
     where c.product_id is not null and not exists (select from billing_product as p where p.id = c.product_id)
     group by c.product_id
    union all
    select 'billing_plan_charge', 'billable_metric_id', 'billing_billable_metric.id', c.billable_metric_id::text, count(*)
      from billing_plan_charge as c
     where c.billable_metric_id is not null
       and not exists (select from billing_billable_metric as m where m.id = c.billable_metric_id)
     group by c.billable_metric_id
    union all
    -- There are many events and few names in them.
    select 'billing_events', 'customer_id', 'billing_customer.ingest_aliases', e.alias, e.row_count
      from (
          select customer_id as alias, count(*) as row_count from billing_events
           where customer_id is not null
           group by customer_id
      ) as e
     where not exists (select from billing_export.aliases() as a where a.alias = e.alias)
    union all
    select 'billing_customer', 'ingest_aliases', 'billing_customer.id', a.alias, count(distinct c.id)
      from billing_customer as c, jsonb_array_elements_text(
          case when jsonb_typeof(c.ingest_aliases) = 'array' then c.ingest_aliases else '[]' end
      ) as a (alias)
     group by a.alias
    having count(distinct c.id) > 1
)
insert into billing_export.orphans (run_date, table_name, column_name, refers_to, value, row_count)
select $1, table_name, column_name, refers_to, value, row_count
from referring

-- Sizes are written with × and with x; they are counted as one.
select
    qualifier as image_size,
    trim_scale(sum(quantity)) as images
from billing_export.usage_between(:from, :to)
where metric = 'Images'
group by qualifier
order by length(qualifier), qualifier collate "C"

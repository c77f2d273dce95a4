"""The study of learning from judgements: invented customers, one turn of the loop, tables, planted adapters."""

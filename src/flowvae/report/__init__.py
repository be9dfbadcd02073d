"""Figures, tables and pages made from run folders and results files alone; no model code is imported here.

`page.write_report` writes the page of ``flowvae report``, `tables.study_table` makes the table of ``flowvae study
table``, `grid.save_grid` writes the picture of ``flowvae sample``, and `pages.refresh` the tables and figures of README
and docs.
"""

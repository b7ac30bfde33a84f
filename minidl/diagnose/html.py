def page(report, history, step): return ""

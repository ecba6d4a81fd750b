"""The method: the fusion, its loss and its training on cached queries. Read fusion, matching, training in this order."""

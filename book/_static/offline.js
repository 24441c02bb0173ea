/* From a disk, search may not fetch the pages it would quote: it lists titles and headings without. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* Keeps the agent small at rest. */
#ifndef AGENT_MEMORY_H
#define AGENT_MEMORY_H

/* Gives back what only the start needed: free heap, and the pages of programs and libraries that were read
 * from files and never changed. Whatever is still in use comes back from the page cache when it is touched.
 * The libraries behind libcurl alone run some 6 MB of code once, in their constructors. */
void memory_release_cold(void);

#endif

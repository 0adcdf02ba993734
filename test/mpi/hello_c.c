/* Says who it is, as the hello_c of Open MPI's examples does, and adds up all ranks; or comes to a bad end on rank 1. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *end = argc > 1 ? argv[1] : "";
    int rank, size, sharing;
    long mine, sum = 0;
    MPI_Comm node;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    mine = rank + 1;
    MPI_Allreduce(&mine, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &sharing);
    printf("Hello, world, I am %d of %d, sum %ld, sharing memory %d\n", rank, size, sum, sharing);
    fflush(stdout);
    if (rank == 1 && strcmp(end, "abort") == 0)
        MPI_Abort(MPI_COMM_WORLD, 7);
    if (rank == 1 && strcmp(end, "leave") == 0)
        exit(3);
    if (rank == 0 && strcmp(end, "spawn") == 0) {
        MPI_Comm children;
        MPI_Comm_spawn("/bin/true", MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_SELF, &children, MPI_ERRCODES_IGNORE);
    }
    if (*end && strcmp(end, "late") != 0)
        MPI_Barrier(MPI_COMM_WORLD); /* never left */
    MPI_Finalize();
    return rank == 1 && strcmp(end, "late") == 0 ? 5 : 0;
}

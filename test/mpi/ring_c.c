/* A number goes round the ring of ranks, one less at each turn, as in the ring_c of Open MPI's examples. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int rank, size, turns = 10, passed = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank == 0)
        MPI_Send(&turns, 1, MPI_INT, 1 % size, 201, MPI_COMM_WORLD);
    do {
        MPI_Recv(&turns, 1, MPI_INT, (rank + size - 1) % size, 201, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 0)
            turns--;
        passed++;
        MPI_Send(&turns, 1, MPI_INT, (rank + 1) % size, 201, MPI_COMM_WORLD);
    } while (turns > 0);
    if (rank == 0)
        MPI_Recv(&turns, 1, MPI_INT, size - 1, 201, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    printf("Process %d exiting after %d\n", rank, passed);
    MPI_Finalize();
    return 0;
}
